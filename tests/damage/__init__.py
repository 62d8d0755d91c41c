"""Damaged segments by the thousand: nothing crashes, what is not damaged arrives, and no ID moves."""
