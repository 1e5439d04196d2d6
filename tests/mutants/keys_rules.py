"""Mutants of `keys`: files that are whole, keys that end in time, papers that are counted rightly."""

from __future__ import annotations

from typing import Final

from tests.mutants.mutant import Mutant

FILES, PREKEYS, CEREMONY = "keys/files.py", "keys/prekeys.py", "keys/ceremony.py"
T: Final = "tests/keys/"
SYNCED: Final = T + "test_synced.py"

KEYS: Final = (
    Mutant(
        "key-file-fsync",
        FILES,
        "        file.flush()\n        os.fsync(handle)\n",
        "        file.flush()\n",
        "a key file is synced before it has its name",
        (T + "test_synced.py::test_bytes_are_synced_before_they_have_their_name_and_the_name_after",),
    ),
    Mutant(
        "key-folder-fsync",
        FILES,
        "            part.unlink(missing_ok=True)\n        sync_folder(path.parent)\n    except FileExistsError:\n",
        "            part.unlink(missing_ok=True)\n    except FileExistsError:\n",
        "a key file's name is durable",
        (T + "test_synced.py::test_bytes_are_synced_before_they_have_their_name_and_the_name_after",),
    ),
    Mutant(
        "replaced-folder-fsync",
        FILES,
        "            part.replace(path)\n        finally:\n            part.unlink(missing_ok=True)\n        sync_folder(path.parent)\n",
        "            part.replace(path)\n        finally:\n            part.unlink(missing_ok=True)\n",
        "a file that was replaced is the new one after a crash",
        (T + "test_synced.py::test_bytes_are_synced_before_they_have_their_name_and_the_name_after",),
    ),
    Mutant(
        "destroyed-fsync",
        FILES,
        "        path.unlink(missing_ok=True)\n        sync_folder(path.parent)\n",
        "        path.unlink(missing_ok=True)\n",
        "a key that was destroyed does not come back after a crash",
        (T + "test_synced.py::test_a_name_that_is_gone_stays_gone",),
    ),
    Mutant(
        "made-folder-fsync",
        FILES,
        "            each.mkdir(mode=0o700)\n            sync_folder(each.parent)\n",
        "            each.mkdir(mode=0o700)\n",
        "a folder of keys is durable",
        (T + "test_synced.py::test_each_folder_that_is_made_is_named_durably",),
    ),
    Mutant(
        "never-overwritten",
        FILES,
        "        os.link(part, path)\n",
        "        part.rename(path)\n",
        "a key file is never overwritten",
        (T + "test_vault.py::test_a_crash_before_the_name_leaves_no_key",),
    ),
    Mutant(
        "open-to-others",
        FILES,
        "            if mode & 0o077:\n",
        "            if mode & 0o007:\n",
        "a key file that others may read is refused",
        (T + "test_vault.py::test_a_file_open_to_others_is_refused_with_the_remedy",),
    ),
    Mutant(
        "box-header",
        "keys/locks.py",
        "    return encode([_FORMAT, header, lock])\n",
        "    return encode([_FORMAT, lock])\n",
        "a key file's header is proven with the key",
        (T + "test_vault.py::test_a_header_that_was_changed_does_not_open",),
    ),
    Mutant(
        "seeds-of-the-public-key",
        "keys/vault.py",
        "        if opened.public != self.public:\n",
        "        if opened.public is None:\n",
        "a key file holds the key that it names",
        (T + "test_vault.py::test_seeds_of_another_key_are_refused",),
    ),
    Mutant(
        "one-daemon",
        "keys/lock.py",
        "            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)\n",
        "            fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)\n",
        "one daemon at a time on a home",
        (T + "test_lock.py",),
    ),
    Mutant(
        "prekey-too-early",
        PREKEYS,
        "        drained = drained_until >= self.ended_at + EPOCH_GRACE_SECONDS\n",
        "        drained = drained_until >= self.ended_at\n",
        "a prekey lives until all that it opens is archived",
        (T + "test_prekeys.py::test_a_key_dies_by_the_rule",),
    ),
    Mutant(
        "prekey-without-drain",
        PREKEYS,
        "(DAY_SECONDS if drained else ENVELOPE_LIFETIME_SECONDS)",
        "DAY_SECONDS",
        "a prekey that was not drained lives for two weeks",
        (T + "test_prekeys.py::test_a_key_dies_by_the_rule",),
    ),
    Mutant(
        "prekey-never",
        PREKEYS,
        "            destroy(self._folder / each.file_name)\n",
        "",
        "a prekey whose time is over is gone from the disk",
        (T + "test_prekeys.py::test_a_key_dies_by_the_rule",),
    ),
    Mutant(
        "prekey-clock",
        PREKEYS,
        "        if abs(now - registry_time) > CLOCK_REFUSE_SECONDS:\n",
        "        if now - registry_time < -CLOCK_REFUSE_SECONDS:\n",
        "no clock alone destroys a key",
        (T + "test_prekeys.py::test_clocks_that_disagree_destroy_nothing",),
    ),
    Mutant(
        "prekey-earlier-clock",
        PREKEYS,
        "        earlier = min(now, registry_time)\n",
        "        earlier = max(now, registry_time)\n",
        "both clocks must be past a key's end",
        (T + "test_prekeys.py::test_both_clocks_must_be_past_the_date",),
    ),
    Mutant(
        "prekey-owner",
        PREKEYS,
        "            known = uint(version) == _FORMAT and Party.parse(party) == self._party\n",
        "            known = uint(version) == _FORMAT\n",
        "another member's prekey is refused",
        (T + "test_prekeys.py::test_a_file_of_another_day_or_member_is_refused",),
    ),
    Mutant(
        "counted-stewards",
        CEREMONY,
        "    counted = charters if isinstance(statement, NEGATIVES) else charters[:1]\n",
        "    counted = charters\n",
        "former stewards admit nobody",
        (T + "test_ceremony.py::test_a_second_charter_counts_only_if_its_own_stewards_signed",),
    ),
    Mutant(
        "charter-of-its-own",
        CEREMONY,
        '    return [[_stewards(former, f"stewards of charter {former.version}, in force"), own]]\n',
        "    return [[own]]\n",
        "a new charter is counted by the old stewards too",
        (T + "test_ceremony.py::test_the_next_charter_needs_the_old_and_the_new_stewards",),
    ),
    Mutant(
        "counting-signature",
        CEREMONY,
        "    require_counts(signed, key.public, papers)\n    return merge(",
        "    return merge(",
        "a signature that counts for nothing is not made",
        (T + "test_ceremony.py",),
    ),
    Mutant(
        "log-quotes-nothing",
        "keys/logs.py",
        "    library.handlers, library.propagate = [_Library(log)], False\n",
        "    library.propagate = True\n",
        "the log quotes nothing that was sent",
        (T + "test_logs.py::test_the_http_library_quotes_what_was_sent_and_the_log_does_not",),
    ),
)
