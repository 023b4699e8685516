"""What training learns from and evaluation asks: composed pictures, speech about them, and the sources of both."""
