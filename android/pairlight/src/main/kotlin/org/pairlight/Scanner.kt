package org.pairlight

import android.graphics.Rect
import android.media.Image
import kotlinx.coroutines.flow.Flow
import kotlinx.coroutines.flow.flow
import kotlinx.coroutines.flow.mapNotNull
import java.nio.ByteBuffer
import org.pairlight.bridge.Scanner as BridgeScanner

/** A place in upright pixels of the whole frame. */
public data class Corner(val x: Float, val y: Float)

/** How careful the person should be with what a code says. */
public enum class Danger { OURS, INFO, CAUTION, DANGER }

/** What a code means. Nothing of it is ever opened; show it and ask. */
public data class Meaning(
    val kind: String,
    val title: String,
    val explanation: String,
    val danger: Danger,
    /** Whether it can be given to [PrimaryAccount.link]. */
    val isOffer: Boolean,
)

/** A code that was read. [bytes] is its exact content; [text] the same, when it is text. */
public class ScannedCode internal constructor(
    public val bytes: ByteArray,
    public val text: String?,
    public val meaning: Meaning,
    /** Top left, top right, bottom right, bottom left of the code. */
    public val corners: List<Corner>,
    /** QR version, 1 to 40. */
    public val version: Int,
    /** Whether this content was not announced before. */
    public val isNew: Boolean,
) {
    // What a linking code says is a secret.
    override fun toString(): String = "ScannedCode(${meaning.kind}, version=$version)"
}

/** What became of the frames. */
public data class ScanCounts(val submitted: Long, val scanned: Long, val dropped: Long)

/** What became of a frame that was handed over. */
public enum class FrameFate { WAITS, REPLACED_OLDER }

/** What one frame gave. [width] and [height] are of the upright frame in which the corners lie. */
public data class ScanReport(
    val codes: List<ScannedCode>,
    /** Why nothing was read; empty when something was. */
    val hints: List<Phrase>,
    /** Whether a code seems to be in view, read or not. */
    val sawCode: Boolean,
    /** How many times nearer a code that is too small should appear: zoom so far, or say "come closer". */
    val zoom: Float?,
    /** Whether the torch would help. */
    val torch: Boolean,
    val width: Int,
    val height: Int,
    val takenMs: Long,
    val counts: ScanCounts,
)

/**
 * Reads codes from the frames of one camera. Frames are taken on any thread and looked at on threads of the library; when
 * they come faster than that, the newest wins.
 *
 * @param thorough for still pictures instead of a camera
 */
public class Scanner(thorough: Boolean = false) : AutoCloseable {
    private val bridge: BridgeScanner = own { BridgeScanner(thorough) }

    /**
     * Hands over the brightness of an image in `YUV_420_888` and returns at once. The image is not closed, and can be as
     * soon as this returns. With CameraX: `offer(proxy.image!!, proxy.imageInfo.rotationDegrees)`.
     *
     * @param rotationDegrees the clockwise turn that makes it upright: 0, 90, 180 or 270
     * @param mirrored whether the camera mirrors, as front cameras may
     * @throws PairlightException.Misuse for a plane that is shorter than it says, or an odd angle
     * @throws PairlightException.Ended after [close]
     */
    public fun offer(image: Image, rotationDegrees: Int, mirrored: Boolean = false): FrameFate {
        val plane = image.planes[0]
        val whole = Rect(0, 0, image.width, image.height)
        val crop: Rect? = image.cropRect
        return offer(
            plane.buffer, image.width, image.height, plane.rowStride, plane.pixelStride, rotationDegrees, mirrored,
            crop.takeIf { it != null && !it.isEmpty && it != whole },
        )
    }

    /**
     * The same for a plane from elsewhere. What lies between the buffer's position and its limit is the plane; position
     * and limit are not moved. A direct buffer is read in place, any other one is copied first.
     */
    public fun offer(
        plane: ByteBuffer,
        width: Int,
        height: Int,
        rowStride: Int,
        pixelStride: Int = 1,
        rotationDegrees: Int = 0,
        mirrored: Boolean = false,
        crop: Rect? = null,
        takenMs: Long = System.currentTimeMillis(),
    ): FrameFate {
        val turn = when (Math.floorMod(rotationDegrees, 360)) {
            0 -> org.pairlight.bridge.Turn.NONE
            90 -> org.pairlight.bridge.Turn.QUARTER
            180 -> org.pairlight.bridge.Turn.HALF
            270 -> org.pairlight.bridge.Turn.THREE_QUARTERS
            else -> throw PairlightException.Misuse("a turn is 0, 90, 180 or 270 degrees, not $rotationDegrees")
        }
        if (width <= 0 || height <= 0 || rowStride <= 0 || pixelStride <= 0) {
            throw PairlightException.Misuse("sizes and strides are positive")
        }
        val region = crop?.let {
            if (it.left < 0 || it.top < 0 || it.isEmpty) throw PairlightException.Misuse("the region is empty or outside")
            org.pairlight.bridge.Region(
                it.left.toUInt(), it.top.toUInt(), it.width().toUInt(), it.height().toUInt(),
            )
        }
        val info = org.pairlight.bridge.FrameInfo(
            width.toUInt(), height.toUInt(), rowStride.toUInt(), pixelStride.toUInt(), turn, mirrored, region,
            takenMs.toULong(),
        )
        return own { FrameFate.valueOf(bridge.submit(atStart(plane), info).name) }
    }

    /**
     * What the newest frame gave, as long as somebody collects; ends with [close]. Reports that nobody takes are replaced
     * by newer ones, but a code that was announced is announced again until it is taken. For one collector.
     */
    public val reports: Flow<ScanReport> = flow {
        var isOpen = own { bridge.waitForReport() }
        while (isOpen) {
            emit(Unit)
            isOpen = orClosed { bridge.waitForReport() } ?: false
        }
    }.mapNotNull {
        // Nothing is cancelled between the taking and the collector: what is taken has come.
        orClosed { bridge.takeReport() }?.own()
    }

    /** Null where it was closed while the last report was looked at. */
    private inline fun <T> orClosed(call: () -> T): T? = try {
        own(call)
    } catch (_: PairlightException.Ended) {
        null
    }

    /** Announces whatever is in view once more: when the person starts to scan again. */
    public fun rearm(): Unit = own { bridge.rearm() }

    /** How many frames were handed over, looked at and dropped. */
    public val counts: ScanCounts
        get() = own { bridge.counts().own() }

    /** Ends it: frames are refused, [reports] ends. */
    override fun close() {
        try {
            bridge.stop()
        } catch (_: IllegalStateException) {
            // Closed before.
        }
        bridge.close()
    }

    private companion object {
        /**
         * The bridge reads from the start of a buffer and not from its position, so it gets a slice; what is not direct
         * has no address to read from.
         */
        fun atStart(plane: ByteBuffer): ByteBuffer {
            if (plane.isDirect) return plane.slice()
            val copy = ByteBuffer.allocateDirect(plane.remaining())
            copy.put(plane.duplicate())
            copy.flip()
            return copy
        }
    }
}

internal fun org.pairlight.bridge.Meaning.own() = Meaning(kind, title, explanation, Danger.valueOf(danger.name), isOffer)

internal fun org.pairlight.bridge.ScanCounts.own() = ScanCounts(submitted.toLong(), scanned.toLong(), dropped.toLong())

internal fun org.pairlight.bridge.ScanReport.own() = ScanReport(
    codes.map { code ->
        val corners = code.corners.map { Corner(it.x, it.y) }
        ScannedCode(code.bytes, code.text, code.meaning.own(), corners, code.version.toInt(), code.isNew)
    },
    hints.map { Phrase(it.key, it.text) }, sawCode, zoom, torch, width.toInt(), height.toInt(), takenMs.toLong(),
    counts.own(),
)
