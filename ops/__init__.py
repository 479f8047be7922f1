"""What operating Headrace needs beside Headrace itself: dashboards, rules."""
