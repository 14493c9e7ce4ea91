package io.microsnap.dirty.testing;

import io.microsnap.dirty.WritePath;


/** The contract can be kept. */
class ScriptedSourceContractTest extends DirtySourceContract {
    @Override
    protected TrackedGuest openGuest() {
        return new ScriptedGuest(new ScriptedSource(ScriptedGuest.LAYOUT, WritePath.MAPPING, WritePath.OTHER_MAPPING,
                WritePath.FILE, WritePath.DISCARD));
    }
}
