/** Tells what changed in a guest's memory since when. */
module io.microsnap.dirty {
    requires transitive io.microsnap.core;
    requires org.agrona;

    exports io.microsnap.dirty;
}
