"""Episodes of drift as people and programs ask for them: from the topic, as a page, over HTTP; and
what they say of one."""
