"""The commands of `dashcam`, each in the file of its name."""
