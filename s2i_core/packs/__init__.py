"""The illustrated episode in the formats that players read: one format a module, from rows and files to files."""
