"""Opinion monitoring: a stream of documents becomes stories, counts, and alarms that say why."""
