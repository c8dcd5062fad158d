"""The cluster: topics, rights, the local broker, replayed files, dead letters, stages."""
