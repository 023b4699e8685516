"""The two jobs of a run: `plan` (recordings to scenes) and `illustrate` (scenes to images)."""
