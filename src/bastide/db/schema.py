"""The two catalogues of tables. Each context declares its own in its `records.py`.

Keys are in a database of their own: a backup of the region's data never holds them.
"""

from sqlalchemy import MetaData

_NAMES = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "pk": "pk_%(table_name)s",
}
metadata = MetaData(naming_convention=_NAMES)
key_metadata = MetaData(naming_convention=_NAMES)
