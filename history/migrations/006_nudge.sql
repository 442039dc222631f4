-- Whether it is woken when it is silent; NULL: its kind decides.
ALTER TABLE devices ADD COLUMN set_nudge INTEGER;
