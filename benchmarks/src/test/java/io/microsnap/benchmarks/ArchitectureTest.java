package io.microsnap.benchmarks;

import static com.tngtech.archunit.core.domain.JavaClass.Predicates.resideInAPackage;
import static com.tngtech.archunit.core.domain.JavaClass.Predicates.resideInAnyPackage;
import static com.tngtech.archunit.lang.syntax.ArchRuleDefinition.fields;
import static com.tngtech.archunit.lang.syntax.ArchRuleDefinition.noClasses;
import static com.tngtech.archunit.library.dependencies.SlicesRuleDefinition.slices;
import static org.assertj.core.api.Assertions.assertThat;

import com.tngtech.archunit.core.domain.JavaClass;
import com.tngtech.archunit.core.domain.JavaClasses;
import com.tngtech.archunit.core.domain.JavaField;
import com.tngtech.archunit.core.domain.JavaModifier;
import com.tngtech.archunit.core.importer.ClassFileImporter;
import com.tngtech.archunit.lang.ArchCondition;
import com.tngtech.archunit.lang.ConditionEvents;
import com.tngtech.archunit.lang.SimpleConditionEvent;
import com.tngtech.archunit.lang.syntax.elements.FieldsShouldConjunction;
import com.tngtech.archunit.library.dependencies.SliceRule;
import io.microsnap.testsupport.Checkout;
import java.lang.foreign.Linker;
import java.lang.foreign.SymbolLookup;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.EnumSet;
import java.util.HashSet;
import java.util.List;
import java.util.Set;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/** The floors of the house (ARCHITECTURE.md), over the production classes of every module. */
final class ArchitectureTest {

    /** A module of the build, and the floors below it. */
    private enum Module {
        TEST_SUPPORT("test-support", "testsupport"),
        CORE("snapshot-core", "core"),
        STORE("snapshot-store", "store"),
        DIRTY("snapshot-dirty", "dirty"),
        DEDUP("snapshot-dedup", "dedup"),
        MEMORY("snapshot-memory", "memory"),
        REGISTRY("snapshot-registry", "registry"),
        VMM("external-vmm", "vmm"),
        HVF("hypervisor-hvf", "hvf"),
        KVM("hypervisor-kvm", "kvm"),
        MACHINE("small-machine", "machine"),
        CLI("snapshot-cli", "cli"),
        BENCHMARKS("benchmarks", "benchmarks");

        private final String directory;
        private final String packageName;

        Module(String directory, String packageName) {
            this.directory = directory;
            this.packageName = packageName;
        }

        Set<Module> mayUse() {
            return switch (this) {
                case TEST_SUPPORT, CORE -> Set.of();
                case STORE, DIRTY -> Set.of(CORE);
                case HVF, KVM -> Set.of(CORE, DIRTY);
                case DEDUP -> Set.of(CORE, STORE);
                case REGISTRY -> Set.of(CORE, STORE, DEDUP);
                case MEMORY -> Set.of(CORE, STORE, DIRTY, DEDUP);
                case VMM -> Set.of(CORE, STORE, DIRTY, MEMORY);
                case MACHINE -> Set.of(CORE, DIRTY, KVM);
                case CLI -> Set.of(CORE, STORE, DIRTY, MEMORY, DEDUP, REGISTRY, VMM, HVF, KVM, MACHINE);
                case BENCHMARKS ->
                        Set.of(TEST_SUPPORT, CORE, STORE, DIRTY, MEMORY, DEDUP, REGISTRY, VMM, HVF, KVM, MACHINE);
            };
        }

        String packages() {
            return "io.microsnap." + packageName + "..";
        }

        Path classes() {
            return Checkout.root().resolve(directory).resolve("target/classes");
        }

        String[] packagesItMayNotUse() {
            EnumSet<Module> others = EnumSet.allOf(Module.class);
            others.remove(this);
            others.removeAll(mayUse());
            return others.stream().map(Module::packages).toArray(String[]::new);
        }
    }

    private static final String BOM = "microsnap-bom";

    private static final Set<Module> NO_LIBRARIES =
            Set.of(Module.TEST_SUPPORT, Module.MACHINE, Module.CLI, Module.BENCHMARKS);

    /** The modules whose public types a VM manager's author meets. */
    private static final Set<Module> FACE =
            Set.of(Module.CORE, Module.STORE, Module.DIRTY, Module.DEDUP, Module.MEMORY, Module.KVM);

    /** Lower these when a type goes. A type that users do not need belongs in an internal package. */
    private static final int PUBLIC_TYPES = 74;
    private static final int PUBLIC_NESTED_TYPES = 24;

    /** Where native functions are linked: nowhere else may {@link Linker} be touched. */
    private static final String[] BINDING_PACKAGES = {
        "io.microsnap.core.internal.posix..", "io.microsnap.hvf.internal.binding.."
    };

    /** Static state that changes all the same. */
    private static final Set<String> STATIC_STATE = Set.of(
            // vm.max_map_count limits the process, whichever store or restore asks.
            "io.microsnap.core.internal.file.MappingBudget.OF_PROCESS",
            // Allocating a call's errno and structs anew costs more than many a call.
            "io.microsnap.core.internal.posix.ThreadMemory.OF_THREAD");

    /** Arrays, enum sets and a byte of native memory that are tables: filled at once, written to by nothing. */
    private static final Set<String> STATIC_TABLES = Set.of(
            "io.microsnap.core.internal.file.DataCopy.NOT_IN_KERNEL",
            "io.microsnap.core.internal.file.Extents.CANNOT_TELL",
            "io.microsnap.core.internal.file.Extents.UNSUPPORTED",
            "io.microsnap.core.internal.file.ProcessPageTable.RESIDENT",
            "io.microsnap.core.internal.file.Reflink.NO_SUCH_ATTRIBUTE",
            "io.microsnap.core.internal.file.Reflink.PAIR_CANNOT",
            "io.microsnap.core.internal.file.StagedFile.CANNOT_LOCK",
            "io.microsnap.core.internal.file.StagedFile.CANNOT_RENAME_SO",
            "io.microsnap.core.internal.posix.Descriptor.UNKNOWN_CALL",
            "io.microsnap.core.internal.posix.LinuxPosix.EMPTY",
            "io.microsnap.dedup.FileAttributes.NONE_HERE",
            "io.microsnap.registry.internal.format.FrameTable.MAGIC");

    private static final JavaClasses PRODUCTION = new ClassFileImporter()
            .importPaths(Stream.of(Module.values()).map(Module::classes).toList());

    private static final FieldsShouldConjunction NO_STATIC_STATE = fields().that().areStatic()
            .and().doNotHaveModifier(JavaModifier.SYNTHETIC)
            .and().areDeclaredInClassesThat().resideOutsideOfPackage("..jmh_generated..")
            .should().beFinal();

    @ParameterizedTest
    @EnumSource
    void everyModuleIsLookedAt(Module module) {
        assertThat(PRODUCTION.that(resideInAnyPackage(module.packages()))).isNotEmpty();
    }

    @Test
    void everyModuleOfTheBuildHasItsFloor() throws Exception {
        List<String> directories = Stream.of(Module.values()).map(module -> module.directory).toList();
        assertThat(named("pom.xml", "module")).filteredOn(directory -> !directory.equals(BOM))
                .containsExactlyInAnyOrderElementsOf(directories);
    }

    @Test
    void everyLibraryIsInTheBom() throws Exception {
        List<String> libraries = Stream.of(Module.values()).filter(module -> !NO_LIBRARIES.contains(module))
                .map(module -> module.directory).toList();
        assertThat(named(BOM + "/pom.xml", "artifactId")).filteredOn(artifact -> !artifact.equals(BOM))
                .containsExactlyInAnyOrderElementsOf(libraries);
    }

    private static List<String> named(String pom, String element) throws Exception {
        return Files.readAllLines(Checkout.root().resolve(pom)).stream()
                .map(String::strip)
                .filter(line -> line.startsWith("<" + element + ">"))
                .map(line -> line.replaceAll("</?" + element + ">", ""))
                .toList();
    }

    @ParameterizedTest
    @EnumSource
    void aModuleUsesOnlyTheFloorsBelowIt(Module module) {
        noClasses().that().resideInAPackage(module.packages())
                .should().dependOnClassesThat().resideInAnyPackage(module.packagesItMayNotUse())
                .check(PRODUCTION);
    }

    @Test
    void thePublicFaceStaysSmall() {
        List<JavaClass> seen = PRODUCTION.stream().filter(ArchitectureTest::isSeenByUsers).toList();
        List<JavaClass> nested = seen.stream().filter(type -> type.getEnclosingClass().isPresent()).toList();
        assertThat(nested).hasSizeLessThanOrEqualTo(PUBLIC_NESTED_TYPES);
        assertThat(seen).hasSizeLessThanOrEqualTo(PUBLIC_TYPES + nested.size());
    }

    private static boolean isSeenByUsers(JavaClass type) {
        return type.getModifiers().contains(JavaModifier.PUBLIC)
                && FACE.stream().anyMatch(module -> resideInAnyPackage(module.packages()).test(type))
                && !type.getPackageName().contains(".internal")
                && type.getEnclosingClass().map(ArchitectureTest::isSeenByUsers).orElse(true);
    }

    /** A public type may make what stands behind it; among internal packages, and between rooms, nothing goes round. */
    @Test
    void packagesFormNoCycle() {
        SliceRule rule = slices().matching("io.microsnap.(**)").should().beFreeOfCycles();
        for (Module module : Module.values()) {
            String room = "io.microsnap." + module.packageName;
            rule = rule.ignoreDependency(resideInAPackage(room), resideInAPackage(room + ".internal.."));
        }
        rule.check(PRODUCTION);
    }

    @Test
    void nativeFunctionsAreLinkedInBindingPackagesOnly() {
        noClasses().that().resideOutsideOfPackages(BINDING_PACKAGES)
                .should().dependOnClassesThat().areAssignableTo(Linker.class)
                .orShould().dependOnClassesThat().areAssignableTo(SymbolLookup.class)
                .check(PRODUCTION);
    }

    @Test
    void thereIsNoStaticMutableState() {
        Set<String> exceptions = new HashSet<>(STATIC_STATE);
        exceptions.addAll(STATIC_TABLES);
        NO_STATIC_STATE.andShould(notChangeInside(exceptions)).check(PRODUCTION);
    }

    @Test
    void staticStateIsFoundInEveryForm() {
        JavaClasses forms = new ClassFileImporter().importClasses(StaticState.class, StaticState.Counter.class,
                StaticState.Cache.class);

        List<String> found = NO_STATIC_STATE.andShould(notChangeInside(Set.of())).evaluate(forms)
                .getFailureReport().getDetails();

        assertThat(found).hasSize(StaticState.FORMS.size())
                .allSatisfy(violation -> assertThat(StaticState.FORMS).anyMatch(violation::contains));
    }

    @Test
    void anExceptionThatNothingNeedsIsFound() {
        JavaClasses forms = new ClassFileImporter().importClasses(StaticState.class);

        assertThat(NO_STATIC_STATE.andShould(notChangeInside(Set.of(StaticState.class.getName() + ".FORMS")))
                .evaluate(forms).getFailureReport().getDetails())
                .anyMatch(violation -> violation.endsWith("FORMS is named as an exception, but does not change"));
    }

    private static ArchCondition<JavaField> notChangeInside(Set<String> exceptions) {
        return new ArchCondition<>("hold nothing that changes, unless it is named here") {
            @Override
            public void check(JavaField field, ConditionEvents events) {
                boolean changes = StateSearch.changes(field.reflect());
                if (changes != exceptions.contains(field.getFullName())) {
                    events.add(SimpleConditionEvent.violated(field, field.getFullName()
                            + (changes ? " is static and changes" : " is named as an exception, but does not change")));
                }
            }
        };
    }
}
