"""Callbacks, a pruner and a scheduler: `should_stop`, asked where a run in flight can be stopped."""
