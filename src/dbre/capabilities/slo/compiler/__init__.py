"""SLOs written as rules of Prometheus, routes of Alertmanager and dashboards of Grafana."""
