"""Grafana's dashboards of the platform: what they show, and the JSON that the umbrella chart ships."""
