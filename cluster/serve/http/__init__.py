"""The API over HTTP, and the page that speaks to it: from the socket to the clips and recordings behind."""
