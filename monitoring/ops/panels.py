"""What is on the dashboards.

Queries use no variables of Grafana's, so that anything that speaks PromQL can check them.
"""

from monitoring.ops.panel import mean, panel, per_second, quantiles

_WORK = '{stage=~"decode|features|inference|encode"}'

STREAM = (
    panel("Events answered", "ops", (per_second("instance", "weir_events_total"), "{{instance}}")),
    panel("Decisions", "ops", (per_second("decision", "weir_decisions_total"), "{{decision}}")),
    panel("Latency, end to end", "s", *quantiles("weir_latency_seconds")),
    panel("Lag", "short", ("sum by (job, topic) (weir_lag_records)", "{{job}} {{topic}}")),
    panel("Seconds behind", "s", ("job:weir_lag:seconds >= 0", "{{job}}")),
    panel("Ready processes", "short", ("sum by (job) (weir_ready)", "{{job}}")),
    panel(
        "Transactions",
        "ops",
        (per_second("job, outcome", "weir_transactions_total"), "{{job}} {{outcome}}"),
    ),
    panel("Dead letters", "ops", (per_second("job", "weir_dead_letters_total"), "{{job}}")),
    panel(
        "Brokers out of reach",
        "short",
        ("max by (job) (weir_kafka_unreachable_brokers)", "{{job}}"),
    ),
    panel("Where the time goes", "s", (per_second("stage", "weir_stage_seconds_sum"), "{{stage}}")),
    panel("Records in one transaction", "short", (mean("weir_batch_records", "kind"), "{{kind}}")),
    panel(
        "Labels",
        "ops",
        (per_second("job", "weir_labels_total"), "taken in"),
        (per_second("entity", "weir_labels_matched_total"), "matched, {{entity}}"),
    ),
    panel("Entities", "short", ("sum by (entity) (weir_entities)", "{{entity}}")),
    panel(
        "Forgotten for want of room",
        "short",
        ("sum by (entity) (weir_ousted_entities)", "entities, {{entity}}"),
        ("sum by (entity) (weir_dropped_labels)", "labels, {{entity}}"),
        ("sum(weir_forgotten_event_ids_total)", "event ids"),
    ),
    panel(
        "Events with a flaw",
        "ops",
        (per_second("job", "weir_late_events_total"), "late"),
        (per_second("job", "weir_approximate_events_total"), "approximate"),
        (per_second("job", "weir_duplicate_events_total"), "repeats"),
    ),
    panel(
        "Snapshots: age", "s", ("time() - (weir_snapshot_timestamp_seconds > 0)", "{{instance}}")
    ),
    panel(
        "Sizes",
        "bytes",
        ("sum by (instance) (weir_state_bytes)", "windows, {{instance}}"),
        ("weir_snapshot_bytes", "snapshot, {{instance}}"),
        ('sum by (job) (process_resident_memory_bytes{job=~"weir-.+"})', "memory, {{job}}"),
    ),
    panel(
        "Processors in use",
        "short",
        (per_second("job", 'process_cpu_seconds_total{job=~"weir-.+"}'), "{{job}}"),
    ),
)

ENGINE = (
    panel("The model, a batch", "s", *quantiles("weir_stage_seconds", '{stage="inference"}')),
    panel("Rows in one call", "short", *quantiles("weir_inference_rows")),
    panel("Until the model's turn", "s", *quantiles("weir_queue_seconds")),
    panel(
        "Time of an event",
        "s",
        (
            per_second("stage", f"weir_stage_seconds_sum{_WORK}")
            + " / on () group_left sum(rate(weir_events_total[2m]))",
            "{{stage}}",
        ),
    ),
    panel(
        "Answered by the fallback", "percentunit", ("job:weir_fallbacks:ratio_rate5m", "{{job}}")
    ),
    panel(
        "Engines",
        "short",
        (
            "count by (backend, device, precision, route) (weir_engine_info)",
            "{{backend}} {{device}} {{precision}} {{route}}",
        ),
    ),
    panel(
        "Models and policies",
        "short",
        ("count by (model, policy) (weir_model_info)", "{{model}}, policy {{policy}}"),
    ),
    panel(
        "Commands for model and policy",
        "short",
        ("sum by (outcome) (increase(weir_model_changes_total[1h]))", "{{outcome}}"),
    ),
    panel(
        "Snapshots: the stream stands still",
        "s",
        ('increase(weir_snapshot_seconds_sum{part="pause"}[1h])', "{{instance}}, an hour"),
    ),
)

MODELS = (
    panel(
        "Arms: share of the keys", "percentunit", ("max by (arm) (weir_arm_keys_ratio)", "{{arm}}")
    ),
    panel(
        "Arms: events that are no approval",
        "percentunit",
        (
            per_second("arm", 'weir_arm_decisions_total{decision!="approve"}')
            + " / "
            + per_second("arm", "weir_arm_decisions_total"),
            "{{arm}}",
        ),
    ),
    panel(
        "Arms: answered by the champion instead",
        "ops",
        (
            f"{per_second('arm, reason', 'weir_arm_stand_ins_total')} or on () vector(0)",
            "{{arm}} {{reason}}",
        ),
    ),
    panel(
        "Canary: evidence, and what is an alarm",
        "short",
        ("max by (guardrail) (weir_canary_log_evidence)", "{{guardrail}}"),
        ("max by (guardrail) (weir_canary_log_alarm)", "alarm, {{guardrail}}"),
    ),
    panel(
        "Canary: what its keeper did",
        "short",
        ("sum by (deed) (increase(weir_canary_deeds_total[1h]))", "{{deed}}"),
        ("max(weir_canary_paused)", "paused"),
    ),
    panel(
        "Candidates that answer",
        "short",
        ("max by (candidate) (weir_shadow_candidate_answering)", "{{candidate}}"),
    ),
    panel(
        "Shadow scores",
        "ops",
        (per_second("candidate, outcome", "weir_shadow_scores_total"), "{{candidate}} {{outcome}}"),
        (per_second("job", "weir_shadow_shed_events_total"), "shed"),
    ),
    panel("Candidates: a batch", "s", *quantiles("weir_shadow_answer_seconds", by="candidate")),
    panel(
        "Pairs and labels",
        "short",
        ("sum by (candidate) (weir_shadow_waiting_pairs)", "waiting, {{candidate}}"),
        ("sum by (candidate) (weir_shadow_mature_events)", "mature, {{candidate}}"),
        ("sum(weir_shadow_known_labels)", "labels"),
    ),
    panel(
        "Verdicts",
        "short",
        ("max by (candidate, verdict) (weir_comparison_verdict)", "{{candidate}} {{verdict}}"),
    ),
    panel("Last compared", "s", ("time() - max(weir_comparison_timestamp_seconds > 0)", "ago")),
    panel(
        "Would-be declines",
        "ops",
        (per_second("outcome", "weir_approve_through_events_total"), "{{outcome}}"),
    ),
    panel(
        "Explanations", "ops", (per_second("decision", "weir_explanations_total"), "{{decision}}")
    ),
    panel("Time of an explanation", "s", *quantiles("weir_explain_seconds")),
    panel(
        "Store of explanations",
        "ops",
        (per_second("outcome", "weir_store_records_total"), "{{outcome}}"),
        (per_second("job", "weir_store_anchors_total"), "anchors"),
    ),
)

DRIFT = (
    panel(
        "Open episodes",
        "short",
        ("sum by (kind, severity) (weir_drift_episodes_open)", "{{kind}}, {{severity}}"),
    ),
    panel(
        "Alarms",
        "short",
        (
            "sum by (kind, severity) (increase(weir_drift_alarms_total[1h]))",
            "{{kind}}, {{severity}}",
        ),
    ),
    panel("Retraining", "short", ("max by (verdict) (weir_drift_retraining)", "{{verdict}}")),
    panel(
        "Population stability index",
        "short",
        ("topk(10, max by (feature, model) (weir_drift_psi_ratio))", "{{feature}}, {{model}}"),
    ),
    panel("Watermark", "s", ("time() - max(weir_monitor_watermark_seconds)", "ago")),
    panel("Lag of the monitor", "short", ('sum(weir_lag_records{job="weir-monitor"})', "records")),
    panel(
        "Alarms sent",
        "short",
        ("sum by (outcome) (increase(weir_alerts_sent_total[1h]))", "{{outcome}}"),
    ),
    panel(
        "Decisions, shares",
        "percentunit",
        (
            per_second("decision", "weir_decisions_total")
            + " / on () group_left sum(rate(weir_decisions_total[2m]))",
            "{{decision}}",
        ),
    ),
    panel(
        "Labels that found their event",
        "percentunit",
        (
            per_second("entity", "weir_labels_matched_total")
            + " / on () group_left sum(rate(weir_labels_total[2m]))",
            "{{entity}}",
        ),
    ),
)

LOOP = (
    panel("Rows archived", "ops", (per_second("kind", "weir_archive_rows_total"), "{{kind}}")),
    panel("Lag of the archive", "short", ('sum(weir_lag_records{job="weir-archive"})', "records")),
    panel("Time of a commit to the archive", "s", *quantiles("weir_archive_commit_seconds")),
    panel(
        "What the controller is at",
        "short",
        ("max by (phase) (weir_retraining_phase)", "{{phase}}"),
    ),
    panel(
        "Retraining",
        "short",
        ("sum(weir_retraining_controller_at_work)", "controllers at work"),
        ("max(weir_retraining_hindered)", "hindered"),
        ("max(weir_retraining_job_failed)", "last job failed"),
    ),
    panel(
        "Looks of the controller that failed",
        "short",
        ("sum(increase(weir_retraining_looks_failed_total[1h]))", "looks"),
    ),
)
