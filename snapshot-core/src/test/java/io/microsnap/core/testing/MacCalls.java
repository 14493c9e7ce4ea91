package io.microsnap.core.testing;

import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.Linker;
import java.lang.invoke.MethodType;
import java.lang.reflect.InvocationTargetException;
import java.util.ArrayList;
import java.util.List;

/**
 * Where the arguments of a C function travel on macOS/AArch64, as the JDK there would place them: asked of the JDK's
 * own code for that platform, on whatever platform the tests run. Needs the test flags {@code --add-exports} of
 * {@code jdk.internal.foreign.abi} and {@code jdk.internal.foreign.abi.aarch64}.
 */
public final class MacCalls {
    private static final String ABI = "jdk.internal.foreign.abi.";
    private static final int INTEGER_REGISTER = 0;
    private static final int VECTOR_REGISTER = 1;
    private static final int STACK = 2;
    private static final int NOT_AN_ARGUMENT = 3;

    private MacCalls() {
    }

    /**
     * The arguments in order, each as its place, its type, and what is done to it on the way: {@code x0 int},
     * {@code stack+8 long}, {@code x2 int CHAR_TO_INT}.
     */
    public static List<String> arguments(FunctionDescriptor function, Linker.Option... options) {
        try {
            Class<?> arranger = Class.forName(ABI + "aarch64.CallArranger");
            Class<?> linkerOptions = Class.forName(ABI + "LinkerOptions");
            Object forDowncall = linkerOptions.getMethod("forDowncall", FunctionDescriptor.class, Linker.Option[].class)
                    .invoke(null, function, options);
            Object bindings = arranger.getMethod("getBindings", MethodType.class, FunctionDescriptor.class,
                            boolean.class, linkerOptions)
                    .invoke(arranger.getField("MACOS").get(null), function.toMethodType(), function, false,
                            forDowncall);
            return places(call(bindings, "callingSequence"));
        } catch (InvocationTargetException refused) {
            throw new IllegalArgumentException("the JDK cannot make this call: " + function, refused.getCause());
        } catch (ReflectiveOperationException changed) {
            throw new IllegalStateException("this JDK arranges calls in another way, or its internal packages are not"
                    + " exported to the tests", changed);
        }
    }

    private static List<String> places(Object sequence) throws ReflectiveOperationException {
        List<String> places = new ArrayList<>();
        int count = (int) call(sequence, "argumentBindingsCount");
        for (int index = 0; index < count; index++) {
            List<?> bindings = (List<?>) sequence.getClass().getMethod("argumentBindings", int.class)
                    .invoke(sequence, index);
            Object store = bindings.getLast();
            Object storage = call(store, "storage");
            int place = (int) call(storage, "indexOrOffset");
            String where = switch ((int) (byte) call(storage, "type")) {
                case INTEGER_REGISTER -> "x" + place;
                case VECTOR_REGISTER -> "v" + place;
                case STACK -> "stack+" + place;
                case NOT_AN_ARGUMENT -> "";
                default -> throw new IllegalStateException("no such place: " + storage);
            };
            if (!where.isEmpty()) {
                places.add(where + " " + call(store, "type") + conversions(bindings));
            }
        }
        return places;
    }

    private static String conversions(List<?> bindings) {
        StringBuilder conversions = new StringBuilder();
        for (Object binding : bindings) {
            // Casts are an enum's constants; the rest takes a segment's address, or stores what came of it.
            if (binding instanceof Enum<?> cast) {
                conversions.append(' ').append(cast.name());
            }
        }
        return conversions.toString();
    }

    private static Object call(Object target, String method) throws ReflectiveOperationException {
        return target.getClass().getMethod(method).invoke(target);
    }
}
