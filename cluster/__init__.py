"""Everything that imports Ray: the jobs over an archive, and Ray on one machine."""
