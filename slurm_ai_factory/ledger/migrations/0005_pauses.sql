-- When operators stopped the control, and until when. The newest row holds; one that ends where it begins ends
-- the pause before it.
CREATE TABLE pauses (
    pause_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    cluster_id smallint NOT NULL REFERENCES clusters,
    recorded_at bigint NOT NULL,
    until bigint NOT NULL CHECK (until >= recorded_at),
    actor text NOT NULL,
    reason text NOT NULL CHECK (until = recorded_at OR reason <> '')
);
