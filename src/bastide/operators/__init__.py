"""The operators' API: what `bastide` commands ask of a running region, over a unix socket."""
