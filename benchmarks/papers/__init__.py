"""The experiments of the papers that learnrate builds on, run again."""
