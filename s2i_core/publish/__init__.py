"""What people look at: image files, pages, contact sheets."""
