-- Whether it is a new guest that no event has told of yet.
ALTER TABLE devices ADD COLUMN untold INTEGER NOT NULL DEFAULT 0;
