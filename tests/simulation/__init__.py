"""The model cluster, what is fed to it, and what is made of it; the extra ``simulate`` is needed."""
