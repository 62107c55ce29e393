"""The programs that the worker is measured against, each started as a process of its own."""
