"""One clip: taken or refused, decoded, encoded and drawn while somebody waits."""
