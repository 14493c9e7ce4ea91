# Sourced by ./microsnap and ./check: the JDK and the Maven they run on. For bash 3.2 and later, Linux and macOS.
# shellcheck shell=bash disable=SC2154
# Expects $root, the top of the checkout, and $program, the name to speak under.

missing_tool=69     # EX_UNAVAILABLE

say() { printf '%s: %s\n' "$program" "$*" >&2; }

# The feature release of the JDK in $1: 25. Nothing, where $1 is no JDK.
jdk_release() {
    local line release=
    [ -x "$1/bin/java" ] && [ -x "$1/bin/javac" ] && [ -r "$1/release" ] || return 0
    while IFS= read -r line; do
        case $line in JAVA_VERSION=*) release=${line#JAVA_VERSION=}; break ;; esac
    done < "$1/release"
    release=${release//\"/}
    release=${release%%[!0-9]*}
    printf '%s' "$release"
}

# One directory a line, best first. Those that do not exist do no harm.
jdk_candidates() {
    local java
    printf '%s\n' "${JAVA_HOME:-}" "${JAVA25_HOME:-}"
    java=$(command -v java) && java=$(readlink -f "$java" 2>/dev/null) && printf '%s\n' "${java%/bin/java}"
    printf '%s\n' \
        /usr/lib/jvm/* /usr/java/* /usr/local/java/* /usr/local/jdk* /opt/java/* /opt/jdk* /opt/*jdk* \
        "${HOME:-/nonexistent}"/.sdkman/candidates/java/* "${HOME:-/nonexistent}"/.jdks/* \
        "${HOME:-/nonexistent}"/.local/share/mise/installs/java/* \
        /Library/Java/JavaVirtualMachines/*/Contents/Home \
        "${HOME:-/nonexistent}"/Library/Java/JavaVirtualMachines/*/Contents/Home \
        /opt/homebrew/opt/openjdk*/libexec/openjdk.jdk/Contents/Home \
        /usr/local/opt/openjdk*/libexec/openjdk.jdk/Contents/Home
}

# Sets $jdk, or ends with the remedy.
find_jdk() {
    local candidate release seen=
    while IFS= read -r candidate; do
        release=$(jdk_release "$candidate")
        [ -n "$release" ] || continue
        candidate=$(cd "$candidate" && pwd -P)
        if [ "$release" -ge 25 ]; then
            jdk=$candidate
            return
        fi
        case $seen in *"$candidate"*) ;; *) seen="$seen, $release in $candidate" ;; esac
    done < <(jdk_candidates)
    if [ -n "$seen" ]; then say "needs a JDK 25 or newer, and found only older ones: ${seen#, }."
    else say "needs a JDK 25 or newer, and found none."; fi
    say "Install one (https://adoptium.net has builds for Linux and macOS) and set JAVA_HOME to it, or put it on the PATH."
    exit $missing_tool
}

# Maven runs on the JDK that was found, whatever else is on the machine; the flags silence its own libraries' warnings.
maven() {
    JAVA_HOME=$jdk JAVA25_HOME=$jdk \
        MAVEN_OPTS="--enable-native-access=ALL-UNNAMED --sun-misc-unsafe-memory-access=allow ${MAVEN_OPTS:-}" \
        mvn --file "$root/pom.xml" --batch-mode "$@"
}

need_maven() {
    command -v mvn >/dev/null && return
    say "needs Maven 3.8 or newer to build itself, and there is no mvn on the PATH."
    say "Install it: apt-get install maven, dnf install maven, brew install maven, or https://maven.apache.org/install.html."
    exit $missing_tool
}
