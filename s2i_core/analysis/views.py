"""Ready views over the tables: what is true now of each recording, whatever earlier models and settings have left.

A table keeps a row for each model and each settings that a recording was ever planned and drawn with. The views take
the newest outcome of each address, the scenes that belong to it, and of each scene the picture that an editor chose, or
else the newest.
"""

from __future__ import annotations

VIEWS: dict[str, str] = {
    "latest": """
        SELECT * FROM recordings
        QUALIFY row_number() OVER (PARTITION BY source_uri ORDER BY created_at DESC, etag) = 1
    """,
    "decisions": """
        SELECT * FROM (
            SELECT * FROM edits
            QUALIFY row_number() OVER (PARTITION BY scene_id ORDER BY created_at DESC, edit_id DESC) = 1
        ) WHERE rejected OR image_id IS NOT NULL
    """,
    "moments": """
        SELECT
            r.source_uri, s.recording_id, s.scene_id, s."index", s.start_s, s.end_s, s.end_s - s.start_s AS seconds,
            CASE WHEN d.rejected THEN 'rejected'
                 WHEN p.image_id IS NOT NULL THEN 'illustrated'
                 WHEN s.status = 'ok' THEN 'to draw'
                 ELSE coalesce(s.reason, s.status) END AS what,
            s.confidence, s.things, p.image_id, p.key, p.style, p.width_px, p.height_px, p.similarity, p.compute_ms,
            p.run_id AS drawn_by, p.created_at AS drawn_at
        FROM latest AS r
        JOIN scenes AS s
          ON s.recording_id = r.recording_id AND s.model_digest = r.model_digest AND s.plan_digest = r.plan_digest
        LEFT JOIN decisions AS d ON d.recording_id = s.recording_id AND d.scene_id = s.scene_id
        LEFT JOIN (
            SELECT i.* FROM images AS i
            LEFT JOIN decisions AS c ON c.recording_id = i.recording_id AND c.scene_id = i.scene_id
            WHERE CASE WHEN c.scene_id IS NULL THEN i.edit_id IS NULL ELSE i.image_id = c.image_id END
            QUALIFY row_number() OVER (
                PARTITION BY i.recording_id, i.scene_id ORDER BY i.created_at DESC, i.image_id
            ) = 1
        ) AS p ON p.recording_id = s.recording_id AND p.scene_id = s.scene_id
        WHERE r.status <> 'failed' AND r.reason IS DISTINCT FROM 'duplicate'
    """,
    "episodes": """
        SELECT
            r.source_uri, regexp_replace(regexp_extract(r.source_uri, '[^/]*$'), '\\.[^.]*$', '') AS name,
            r.recording_id, r.status, r.reason, r.duration_s, r.speech_s, r.scenes, coalesce(m.pictures, 0) AS pictures,
            coalesce(m.illustrated_s, 0) AS illustrated_s,
            round(coalesce(m.illustrated_s, 0) / nullif(r.duration_s, 0), 4) AS coverage,
            m.similarity, m.compute_ms, r.damage, r.run_id AS planned_by, r.created_at AS planned_at
        FROM latest AS r
        LEFT JOIN (
            SELECT
                source_uri, count(image_id) AS pictures, avg(similarity) AS similarity, sum(compute_ms) AS compute_ms,
                sum(seconds) FILTER (WHERE what = 'illustrated') AS illustrated_s
            FROM moments GROUP BY source_uri
        ) AS m USING (source_uri)
    """,
    "mentions": """
        SELECT
            r.source_uri, t.recording_id, t.scene_id, t.start_s, t.end_s, t.thing, t.confidence, t.shown
        FROM latest AS r
        JOIN things AS t
          ON t.recording_id = r.recording_id AND t.model_digest = r.model_digest AND t.plan_digest = r.plan_digest
        WHERE r.status <> 'failed' AND r.reason IS DISTINCT FROM 'duplicate'
    """,
    "coverage": """
        SELECT
            source_uri, recording_id, what, count(*) AS scenes, sum(seconds) AS seconds,
            round(sum(seconds) / nullif(sum(sum(seconds)) OVER (PARTITION BY source_uri), 0), 4) AS share
        FROM moments GROUP BY source_uri, recording_id, what
    """,
    "costs": """
        SELECT
            run_id, CAST(created_at AS DATE) AS day, device, style, width_px, height_px, steps, count(*) AS pictures,
            sum(compute_ms) / 1000 AS compute_s, avg(compute_ms) AS ms_per_picture, sum(size_bytes) AS bytes
        FROM images GROUP BY ALL
    """,
}
"""The views' SQL by name, each on the tables and on those above it."""

MEANINGS: dict[str, str] = {
    "latest": "the newest row of `recordings` for each address",
    "decisions": "what editors decided last of a scene, where they have not taken it back",
    "moments": "each scene as it is planned now, with the picture that is shown, or why it has none (`what`)",
    "episodes": "each recording with its pictures, and how much of it they cover",
    "mentions": "the things heard in what is planned now, with the recording's address",
    "coverage": "seconds of each recording by what became of them",
    "costs": "pictures, computing and bytes by run, day, device, style and size",
}

COLUMNS: dict[str, tuple[str, str]] = {
    "name": ("", "The object's name, without folders and suffix."),
    "what": (
        "",
        "`illustrated`, `to draw`, or the reason why there is no picture (`rejected`: an editor left it out).",
    ),
    "seconds": ("s", "Length; of the scenes counted in the row, where it counts some."),
    "pictures": ("", "Pictures; of scenes as they are planned now."),
    "illustrated_s": ("s", "Seconds of scenes that have a picture."),
    "coverage": ("0 to 1", "Share of the recording that has a picture; null where its length is not known."),
    "share": ("0 to 1", "Share of the recording's seconds; the rows of a recording add up to 1."),
    "drawn_by": ("", "The run that drew the picture."),
    "drawn_at": ("UTC", "When it was drawn."),
    "planned_by": ("", "The run that planned the recording last."),
    "planned_at": ("UTC", "When it was planned last."),
    "day": ("UTC", "The day on which the pictures were drawn."),
    "compute_s": ("s", "Time that drawing took."),
    "ms_per_picture": ("ms", "Time that a picture took, on average."),
    "bytes": ("bytes", "Size of the picture files."),
}
"""Unit and meaning of the columns that only views have; the others are those of the tables."""
