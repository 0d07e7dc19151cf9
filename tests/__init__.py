"""Tests: everything here runs against real programs, never against imitations of them."""
