-- Says which functions only the previous release calls, so that nobody uses them in new queries; a later release drops
-- them.
-- depends: 0015_reword_comments
comment on function live_session(uuid) is 'For releases before 0007 only, use the view live_session; will be dropped.';
comment on function still_live(uuid) is 'For releases before 0007 only; will be dropped.';
comment on function end_other_sessions(uuid, uuid) is 'For releases before 0007 only, see auth.end_my_other_sessions; will be dropped.';
