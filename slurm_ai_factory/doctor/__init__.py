"""`saf doctor`: what would silently break accounting or control. Pure, except ``gather``."""
