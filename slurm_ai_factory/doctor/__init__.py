"""`saf doctor`: what would silently break accounting or control. Pure, but for ``gather``."""
