"""First specs, proposed from what a tool says of itself: everything is denied until somebody writes rules."""
