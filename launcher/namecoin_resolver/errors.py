"""Errors that all programs know; a module of its own, because it costs nothing to import."""


class SettingsError(Exception):
    """Settings that cannot be used; the text says which, and what is wanted."""
