"""From events to a story, and the story drawn."""
