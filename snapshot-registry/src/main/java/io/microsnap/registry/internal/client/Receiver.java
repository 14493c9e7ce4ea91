package io.microsnap.registry.internal.client;

import io.microsnap.core.DamagedException;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.net.http.HttpResponse.BodyHandler;
import java.net.http.HttpResponse.BodySubscriber;
import java.net.http.HttpResponse.ResponseInfo;
import java.nio.ByteBuffer;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionStage;
import java.util.concurrent.Flow;

/**
 * Receives one body: passes that of a success to the sink, and keeps the start of a refusal's. Does not read more than
 * is wanted.
 */
final class Receiver implements BodySubscriber<Receiver.Body> {
    private static final int LONGEST_REFUSAL = 16 << 10;

    private final Sink sink;
    private final Transport.Watch watch;
    private final boolean refused;
    private final ByteArrayOutputStream refusal = new ByteArrayOutputStream();
    private final CompletableFuture<Body> result = new CompletableFuture<>();
    private Flow.Subscription subscription;
    private long receivedBytes;

    private Receiver(Sink sink, Transport.Watch watch, boolean refused) {
        this.sink = sink;
        this.watch = watch;
        this.refused = refused;
    }

    /**
     * The received body.
     *
     * @param receivedBytes how many bytes the sink received
     * @param refusal the start of a refusal
     */
    @SuppressWarnings("ArrayRecordComponent") // Read once, never compared.
    record Body(long receivedBytes, byte[] refusal) {
    }

    /** Makes a receiver once the status is known. */
    record Handler(Sink sink, Transport.Watch watch) implements BodyHandler<Body> {
        @Override
        public BodySubscriber<Body> apply(ResponseInfo info) {
            watch.moved();
            return new Receiver(sink, watch, info.statusCode() < 200 || info.statusCode() >= 300);
        }
    }

    @Override
    public CompletionStage<Body> getBody() {
        return result;
    }

    @Override
    public void onSubscribe(Flow.Subscription newSubscription) {
        subscription = newSubscription;
        subscription.request(1);
    }

    @Override
    public void onNext(List<ByteBuffer> pieces) {
        watch.moved();
        try {
            for (ByteBuffer piece : pieces) {
                if (refused) {
                    keep(piece);
                } else {
                    pass(piece);
                }
            }
        } catch (IOException | RuntimeException | Error failure) {
            subscription.cancel();
            result.completeExceptionally(failure);
            return;
        }
        if (refused && refusal.size() == LONGEST_REFUSAL) {
            subscription.cancel();
            result.complete(new Body(0, refusal.toByteArray()));
            return;
        }
        subscription.request(1);
    }

    private void pass(ByteBuffer piece) throws IOException {
        if (piece.remaining() > sink.mostBytes() - receivedBytes) {
            throw new DamagedException("the registry sends more than the " + sink.mostBytes()
                    + " bytes expected; the rest is not read");
        }
        receivedBytes += piece.remaining();
        sink.accept(piece);
    }

    private void keep(ByteBuffer piece) {
        byte[] bytes = new byte[Math.min(piece.remaining(), LONGEST_REFUSAL - refusal.size())];
        piece.get(bytes);
        refusal.writeBytes(bytes);
    }

    @Override
    public void onError(Throwable failure) {
        result.completeExceptionally(failure);
    }

    @Override
    public void onComplete() {
        result.complete(new Body(receivedBytes, refusal.toByteArray()));
    }
}
