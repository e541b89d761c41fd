"""Carrying operations to workers with Celery, on RabbitMQ or Redis. Each module is imported by its own name."""
