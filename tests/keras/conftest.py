"""The scenarios run in processes of their own, with a backend each: pytest must not import them."""

collect_ignore = ["scenarios.py", "reporting.py", "line_scenarios.py", "control_scenarios.py", "network_scenarios.py"]
