"""Schedules drive an optimizer: values, writing into groups, who drives what."""
