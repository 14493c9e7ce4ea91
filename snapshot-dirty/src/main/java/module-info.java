/** Tells what changed in a guest's memory since when. */
@SuppressWarnings("module") // The modules above this one do not exist yet when it is compiled.
module io.microsnap.dirty {
    requires transitive io.microsnap.core;
    requires org.agrona;

    exports io.microsnap.dirty;
    exports io.microsnap.dirty.internal to io.microsnap.hvf;
}
