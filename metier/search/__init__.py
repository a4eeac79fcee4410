"""Search over short texts that change while they are searched: lexical, dense, both; a cache of what a store holds."""
