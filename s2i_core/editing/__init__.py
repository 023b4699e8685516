"""What an editor changes of what runs drew: pictures drawn again, swapped, kept, left out; with its history."""
