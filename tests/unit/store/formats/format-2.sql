BEGIN TRANSACTION;
CREATE TABLE "_sqlite_migrations" (
   "id" INTEGER PRIMARY KEY,
   "migration_set" TEXT,
   "name" TEXT,
   "applied_at" TEXT
);
INSERT INTO "_sqlite_migrations" VALUES(1,'cubelet','m001_first','2026-11-23 08:00:51.541988+00:00');
INSERT INTO "_sqlite_migrations" VALUES(2,'cubelet','m002_chain','2026-11-23 08:00:51.569909+00:00');
CREATE TABLE journal (
        seq INTEGER PRIMARY KEY,
        sandbox_id TEXT NOT NULL,
        incarnation TEXT NOT NULL,
        revision INTEGER NOT NULL,
        epoch INTEGER NOT NULL,
        at_ns INTEGER NOT NULL,
        cause TEXT NOT NULL,
        before TEXT,
        after TEXT NOT NULL,
        op_id TEXT NOT NULL,
        detail TEXT NOT NULL
    , hash TEXT NOT NULL DEFAULT '') STRICT
    ;
INSERT INTO "journal" VALUES(1,'box','0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f',1,3,1700000000000000001,'rpc',NULL,'PAUSING','op','''; DROP TABLE sandboxes; --
é😀 "','f284d9f0e69ad4e7b88f2d1a93fec315c347f37b97303757ee4d26b9772d59c1');
INSERT INTO "journal" VALUES(2,'box','0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f',2,3,1700000000000000001,'rpc','RUNNING','PAUSING','op','''; DROP TABLE sandboxes; --
é😀 "','4e90f820fbdce64de71fe50a7595ff7842ee806c0ce686765dd8b74b917daa78');
INSERT INTO "journal" VALUES(3,'other','0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f',1,3,1700000000000000001,'rpc',NULL,'PAUSING','op','''; DROP TABLE sandboxes; --
é😀 "','cc41b86fae13c200037c80bdb61f535407bd46e25e6930c0d6f88f51c01ce450');
INSERT INTO "journal" VALUES(4,'gone','0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f',9,3,1700000000000000001,'rpc','RUNNING','PAUSING','op','''; DROP TABLE sandboxes; --
é😀 "','4087502ac149b5fef2320f9905570f967dde1c2be766ec22e74ae8abe065c63a');
INSERT INTO "journal" VALUES(5,'box','0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f',3,3,1700000000000000001,'rpc','RUNNING','PAUSING','op','''; DROP TABLE sandboxes; --
é😀 "','ec81311f76bd96bc6aeaa48c9b0dcd15bd06571202d345847c505167d239fe2f');
CREATE TABLE "meta" (
   "key" TEXT PRIMARY KEY,
   "value" TEXT
) STRICT;
INSERT INTO "meta" VALUES('format','2');
INSERT INTO "meta" VALUES('incomplete','there was no file');
INSERT INTO "meta" VALUES('created_at_ns','1760000000000000000');
INSERT INTO "meta" VALUES('boot_id','a-boot');
INSERT INTO "meta" VALUES('opened','a-boot 5441cd90696cf8a8');
CREATE TABLE operations (
        seq INTEGER PRIMARY KEY,
        sandbox_id TEXT NOT NULL,
        key TEXT NOT NULL,
        op_id TEXT NOT NULL,
        at_ns INTEGER NOT NULL,
        body TEXT NOT NULL,
        UNIQUE (sandbox_id, key)
    ) STRICT
    ;
INSERT INTO "operations" VALUES(1,'box','key','op',1700000000000000001,'{"v":2,"crc":2264130093,"value":{"sandbox_id":"box","key":{"value":"key","digest":"''; DROP TABLE sandboxes; --\né😀 \""},"op_id":"op","at_ns":1700000000000000001,"fault":null,"record":{"id":"box","namespace":"default","incarnation":"0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f","spec":{"runtime":"process","template":"t","snapshot":"snap","args":["sh","-c","''; DROP TABLE sandboxes; --\né😀 \""],"env":{"A":"''; DROP TABLE sandboxes; --\né😀 \"","":""},"cwd":"/","resources":{"cpu_milli":500,"memory_bytes":1099511627776},"labels":{"a":"b"},"annotations":{"c":"''; DROP TABLE sandboxes; --\né😀 \""},"prestop":[{"host":"h","port":80,"path":"/","headers":{"x":"y"},"timeout_s":0.1}]},"epoch":1099511627776,"revision":1,"handle":{"address":"unix:///s","version":2,"shim_pid":10,"shim_start_ticks":1125899906842624,"pid":11,"pid_start_ticks":12,"generation":0,"boot_id":""},"created_at_ns":1,"started_at_ns":2,"paused_at_ns":3,"finished_at_ns":0,"exit_code":null,"exit_reason":"","finished_mono_s":1e-9,"opaque_restore":true,"boot_id":"","leftovers":false,"remade_why":"","bindings":{"runtime":{"snapshot_id":"snap","attached_at_ns":4611686018427387904,"proven":true},"restore":{"snapshot_id":"''; DROP TABLE sandboxes; --\né😀 \"","attached_at_ns":4,"proven":false},"generation":9},"open":{"op_id":"op","kind":"PAUSE","epoch":7,"call":"ABANDONED","started_at":{"wall_ns":1700000000000000001,"mono_s":1234.5678901234567},"failure":{"code":"UNAVAILABLE","reason":"RUNTIME_LOST","message":"''; DROP TABLE sandboxes; --\né😀 \""},"answered":true,"contradicted_mono_s":0.1,"attempt":3,"heals":0,"keys":[{"value":"k","digest":"d"},{"value":"''; DROP TABLE sandboxes; --\né😀 \"","digest":""}],"noted":false,"plan":null,"snapshot_id":"snap"},"tombstone_at_ns":0,"delete_failure":{"code":"UNAVAILABLE","reason":"RUNTIME_LOST","message":"''; DROP TABLE sandboxes; --\né😀 \""},"delete_keys":[{"value":"gone","digest":"d"}],"last_seen":{"evidence":"shim says PAUSED","cause":"rpc","at":{"wall_ns":1700000000000000001,"mono_s":1234.5678901234567},"asked_mono_s":0.0},"unseen_since":{"wall_ns":1700000000000000001,"mono_s":1234.5678901234567},"diverged":{"says":"RUNNING","frozen":true,"since":{"wall_ns":1700000000000000001,"mono_s":1234.5678901234567},"seen":2,"shown":true}}}}');
INSERT INTO "operations" VALUES(2,'gone','late','op',1700000000000000001,'{"v":2,"crc":2585714861,"value":{"sandbox_id":"gone","key":{"value":"late","digest":"''; DROP TABLE sandboxes; --\né😀 \""},"op_id":"op","at_ns":1700000000000000001,"fault":{"code":"UNAVAILABLE","reason":"RUNTIME_LOST","message":"''; DROP TABLE sandboxes; --\né😀 \""},"record":null}}');
CREATE TABLE "sandboxes" (
   "id" TEXT PRIMARY KEY NOT NULL,
   "incarnation" TEXT NOT NULL,
   "state" TEXT NOT NULL,
   "revision" INTEGER NOT NULL,
   "body" TEXT NOT NULL
) STRICT;
INSERT INTO "sandboxes" VALUES('box','0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f','PAUSING',3,'{"v":2,"crc":2336177337,"value":{"id":"box","namespace":"default","incarnation":"0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f","spec":{"runtime":"process","template":"t","snapshot":"snap","args":["sh","-c","''; DROP TABLE sandboxes; --\né😀 \""],"env":{"A":"''; DROP TABLE sandboxes; --\né😀 \"","":""},"cwd":"/","resources":{"cpu_milli":500,"memory_bytes":1099511627776},"labels":{"a":"b"},"annotations":{"c":"''; DROP TABLE sandboxes; --\né😀 \""},"prestop":[{"host":"h","port":80,"path":"/","headers":{"x":"y"},"timeout_s":0.1}]},"epoch":1099511627776,"revision":3,"handle":{"address":"unix:///s","version":2,"shim_pid":10,"shim_start_ticks":1125899906842624,"pid":11,"pid_start_ticks":12,"generation":0,"boot_id":""},"created_at_ns":1,"started_at_ns":2,"paused_at_ns":3,"finished_at_ns":0,"exit_code":null,"exit_reason":"","finished_mono_s":1e-9,"opaque_restore":true,"boot_id":"","leftovers":false,"remade_why":"","bindings":{"runtime":{"snapshot_id":"snap","attached_at_ns":4611686018427387904,"proven":true},"restore":{"snapshot_id":"''; DROP TABLE sandboxes; --\né😀 \"","attached_at_ns":4,"proven":false},"generation":9},"open":{"op_id":"op","kind":"PAUSE","epoch":7,"call":"ABANDONED","started_at":{"wall_ns":1700000000000000001,"mono_s":1234.5678901234567},"failure":{"code":"UNAVAILABLE","reason":"RUNTIME_LOST","message":"''; DROP TABLE sandboxes; --\né😀 \""},"answered":true,"contradicted_mono_s":0.1,"attempt":3,"heals":0,"keys":[{"value":"k","digest":"d"},{"value":"''; DROP TABLE sandboxes; --\né😀 \"","digest":""}],"noted":false,"plan":null,"snapshot_id":"snap"},"tombstone_at_ns":0,"delete_failure":{"code":"UNAVAILABLE","reason":"RUNTIME_LOST","message":"''; DROP TABLE sandboxes; --\né😀 \""},"delete_keys":[{"value":"gone","digest":"d"}],"last_seen":{"evidence":"shim says PAUSED","cause":"rpc","at":{"wall_ns":1700000000000000001,"mono_s":1234.5678901234567},"asked_mono_s":0.0},"unseen_since":{"wall_ns":1700000000000000001,"mono_s":1234.5678901234567},"diverged":{"says":"RUNNING","frozen":true,"since":{"wall_ns":1700000000000000001,"mono_s":1234.5678901234567},"seen":2,"shown":true}}}');
INSERT INTO "sandboxes" VALUES('other','0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f','PAUSING',1,'{"v":2,"crc":3561395518,"value":{"id":"other","namespace":"default","incarnation":"0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f","spec":{"runtime":"process","template":"t","snapshot":"snap","args":["sh","-c","''; DROP TABLE sandboxes; --\né😀 \""],"env":{"A":"''; DROP TABLE sandboxes; --\né😀 \"","":""},"cwd":"/","resources":{"cpu_milli":500,"memory_bytes":1099511627776},"labels":{"a":"b"},"annotations":{"c":"''; DROP TABLE sandboxes; --\né😀 \""},"prestop":[{"host":"h","port":80,"path":"/","headers":{"x":"y"},"timeout_s":0.1}]},"epoch":1099511627776,"revision":1,"handle":{"address":"unix:///s","version":2,"shim_pid":10,"shim_start_ticks":1125899906842624,"pid":11,"pid_start_ticks":12,"generation":0,"boot_id":""},"created_at_ns":1,"started_at_ns":2,"paused_at_ns":3,"finished_at_ns":0,"exit_code":null,"exit_reason":"","finished_mono_s":1e-9,"opaque_restore":true,"boot_id":"","leftovers":false,"remade_why":"","bindings":{"runtime":{"snapshot_id":"snap","attached_at_ns":4611686018427387904,"proven":true},"restore":{"snapshot_id":"''; DROP TABLE sandboxes; --\né😀 \"","attached_at_ns":4,"proven":false},"generation":9},"open":{"op_id":"op","kind":"PAUSE","epoch":7,"call":"ABANDONED","started_at":{"wall_ns":1700000000000000001,"mono_s":1234.5678901234567},"failure":{"code":"UNAVAILABLE","reason":"RUNTIME_LOST","message":"''; DROP TABLE sandboxes; --\né😀 \""},"answered":true,"contradicted_mono_s":0.1,"attempt":3,"heals":0,"keys":[{"value":"k","digest":"d"},{"value":"''; DROP TABLE sandboxes; --\né😀 \"","digest":""}],"noted":false,"plan":null,"snapshot_id":"snap"},"tombstone_at_ns":0,"delete_failure":{"code":"UNAVAILABLE","reason":"RUNTIME_LOST","message":"''; DROP TABLE sandboxes; --\né😀 \""},"delete_keys":[{"value":"gone","digest":"d"}],"last_seen":{"evidence":"shim says PAUSED","cause":"rpc","at":{"wall_ns":1700000000000000001,"mono_s":1234.5678901234567},"asked_mono_s":0.0},"unseen_since":{"wall_ns":1700000000000000001,"mono_s":1234.5678901234567},"diverged":{"says":"RUNNING","frozen":true,"since":{"wall_ns":1700000000000000001,"mono_s":1234.5678901234567},"seen":2,"shown":true}}}');
CREATE TABLE snapshots (
        seq INTEGER PRIMARY KEY,
        id TEXT NOT NULL UNIQUE,
        sandbox_id TEXT NOT NULL,
        created_at_ns INTEGER NOT NULL,
        body TEXT NOT NULL
    ) STRICT
    ;
INSERT INTO "snapshots" VALUES(1,'base','box',1700000000000000001,'{"v":2,"crc":2970728192,"value":{"id":"base","kind":"runtime_snapshot","runtime":"fake","sandbox_id":"box","incarnation":"0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f","path":"''; DROP TABLE sandboxes; --\né😀 \"","mode":"incremental","base_id":"base","generation":7,"created_at_ns":1700000000000000001}}');
INSERT INTO "snapshots" VALUES(2,'snap','box',1700000000000000001,'{"v":2,"crc":1358319019,"value":{"id":"snap","kind":"runtime_snapshot","runtime":"fake","sandbox_id":"box","incarnation":"0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f","path":"''; DROP TABLE sandboxes; --\né😀 \"","mode":"incremental","base_id":"base","generation":7,"created_at_ns":1700000000000000001}}');
CREATE UNIQUE INDEX "idx__sqlite_migrations_migration_set_name"
    ON "_sqlite_migrations" ("migration_set", "name");
COMMIT;
