package org.pairlight

import java.io.InputStream
import java.io.OutputStream
import kotlinx.coroutines.Dispatchers
import kotlinx.coroutines.flow.Flow
import kotlinx.coroutines.flow.firstOrNull
import kotlinx.coroutines.withContext
import org.pairlight.bridge.Sync as BridgeSync

/**
 * A file of a message. [name] and [mediaType] are another device's words: show them as data, never use them as a path. [file]
 * is the SHA-256 of the content, 64 hexadecimal digits; [size] in bytes.
 */
public data class Attachment(val file: String, val name: String, val mediaType: String, val size: Long)

/** How much of a file is on this device; sizes in bytes. */
public data class FileState(
    val size: Long,
    val stored: Long,
    val isComplete: Boolean,
    /** It is on its way, or asked for; goes on after a restart of the app. */
    val isWanted: Boolean,
    /** The device that was asked does not have it, or not yet: offer [Files.fetch] again. */
    val isMissing: Boolean,
    /** On a linked device: the device that holds the account has not confirmed yet that it has it. */
    val isOwed: Boolean,
)

/**
 * Files of messages, sealed in the store. What a linked device adds goes to the device that holds the account by itself; every
 * other one comes when it is fetched.
 */
public class Files internal constructor(private val bridge: BridgeSync, private val moved: Changes<String>) {
    /**
     * Takes a file into the store, to be sent with [Sync.send]; 4 GiB at most. Reads [content] to its end and does not close
     * it. Cancelling leaves nothing behind.
     */
    public suspend fun add(name: String, mediaType: String, content: InputStream): Attachment {
        val file = own { bridge.beginFile() }
        return file.use {
            while (true) {
                val piece = withContext(Dispatchers.IO) { content.piece() } ?: break
                own { file.write(piece) }
            }
            own { file.finish(name, mediaType) }.own()
        }
    }

    /** How much of a file is here: now, and again whenever it moves, as long as the line is open; null as long as nothing is known of it. */
    public fun state(attachment: Attachment): Flow<FileState?> =
        moved.reading({ it.isEmpty() || it == attachment.file }) { own { bridge.file(attachment.file) }?.own() }

    /**
     * Has a file come, and waits until all of it is here, or the other device says that it does not have it
     * ([FileState.isMissing]). Cancelling stops the waiting, not the transfer, which also goes on after a restart.
     *
     * @throws PairlightException.Ended when the line ends before
     */
    public suspend fun fetch(attachment: Attachment): FileState {
        own { bridge.wantFile(attachment.file, attachment.size.toULong()) }
        return state(attachment).firstOrNull { it != null && (it.isComplete || it.isMissing) } ?: throw PairlightException.Ended()
    }

    /**
     * Writes the content of a file that is here into [out], which is not closed.
     *
     * @throws PairlightException.Misuse when it is not here, or not all of it
     */
    public suspend fun save(attachment: Attachment, out: OutputStream) {
        if (own { bridge.file(attachment.file) }?.isComplete != true) {
            throw PairlightException.Misuse("the file is not here: fetch it first")
        }
        var index = 0UL
        while (true) {
            val piece = own { bridge.filePiece(attachment.file, index++) } ?: break
            withContext(Dispatchers.IO) { out.write(piece) }
        }
    }

    /** The next piece, full unless it is the last one; null at the end. Android 8 has no `readNBytes`. */
    private fun InputStream.piece(): ByteArray? {
        val piece = ByteArray(PIECE)
        var length = 0
        while (length < PIECE) {
            val more = read(piece, length, PIECE - length)
            if (more < 0) break
            length += more
        }
        return piece.copyOf(length).takeIf { it.isNotEmpty() }
    }

    private companion object {
        /** As the store keeps them, bytes. */
        const val PIECE = 256 * 1024
    }
}

internal fun Attachment.bridge() = org.pairlight.bridge.Attachment(file, name, mediaType, size.toULong())

internal fun org.pairlight.bridge.Attachment.own() = Attachment(file, name, mediaType, size.toLong())

internal fun org.pairlight.bridge.FileState.own() =
    FileState(size.toLong(), stored.toLong(), isComplete, isWanted, isMissing, isOwed)
