"""What runs on the platform: streaming jobs, daily batch tasks and the serving views."""
