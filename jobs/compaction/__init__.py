"""Makes many small landed files of an hour into one, while ingest lands, SQL reads, and readers of folders read."""
