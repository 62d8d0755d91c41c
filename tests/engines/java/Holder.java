import java.io.IOException;
import java.io.OutputStream;

/** Who started this process: it ends with whoever holds its standard input, also while it starts. */
final class Holder {
    /** A thread that waits for the holder's end, and then ends the process. */
    static Thread watched() {
        return Thread.ofPlatform().daemon().start(() -> {
            try {
                System.in.transferTo(OutputStream.nullOutputStream());
            } catch (IOException broken) {
                broken.printStackTrace();
            }
            System.exit(0);
        });
    }
}
