"""The lake's questions: SQL files, the engines that run them, the evidence report."""
